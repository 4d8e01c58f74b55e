// Signed fields of packed words. Shift pairs keep the value's range visible to compilers, which
// turn products of 16-bit values into their cheapest multiply.
int byte0(uint v) { return int(v << 24) >> 24; }
int byte1(uint v) { return int(v << 16) >> 24; }
int byte2(uint v) { return int(v << 8) >> 24; }
int byte3(uint v) { return int(v) >> 24; }

// Three signed 10-bit fields a word.
int tenth0(uint v) { return int(v << 22) >> 22; }
int tenth1(uint v) { return int(v << 12) >> 22; }
int tenth2(uint v) { return int(v << 2) >> 22; }
