"""What a user does with the library, one module a noun: the commands and `import al_cxr` are thin over these.

Unlike the rooms below, which only return what they found, these functions also print what a person reads on the screen.
"""
