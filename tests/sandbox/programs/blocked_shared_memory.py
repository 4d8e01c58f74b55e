from multiprocessing import shared_memory
shared_memory.SharedMemory("lectern_test", create=True, size=4096)
