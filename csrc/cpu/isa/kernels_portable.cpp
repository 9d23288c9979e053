#define FASTCAPS_ISA portable
#define FASTCAPS_VECTOR_BYTES 16
#include "table.h"

FASTCAPS_DEFINE_TABLES(1, 2)
