"""Writers of made-up recordings in the layouts of data sets, as these are distributed."""
