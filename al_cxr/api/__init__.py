"""What a user does with the library, one module a noun: the commands and `import al_cxr` are thin over these."""
