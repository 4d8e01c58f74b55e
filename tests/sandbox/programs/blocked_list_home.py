import os
os.listdir("@OUTSIDE@")
