open("big", "wb").write(bytes(2 << 20))
