x = bytearray(6 << 30)
