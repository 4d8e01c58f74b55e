open("@OUTSIDE@/keep", "w").write("x")
