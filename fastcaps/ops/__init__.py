"""The operators: one file each, holding schema-facing glue, shape rules and gradients.

Only this package knows every backend of an operator. Arguments arrive checked, by
``fastcaps.functional``.
"""
