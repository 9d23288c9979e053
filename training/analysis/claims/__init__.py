"""What the paper claims of capsules, as numbers with confidence intervals.

Rashid and Lee, sections 4.3 and 4.4. Intervals are of 95%, and resample subjects unless a function
says otherwise.
"""
