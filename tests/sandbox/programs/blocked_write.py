open("@OUTSIDE@/new", "w").write("x")
