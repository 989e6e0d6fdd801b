"""The only training loop, its losses, and what it needs.

To add a loss, write a new file here with a function that has the decorator `losses.loss`. An entry point of the group
`al_cxr.losses` in another installed package adds one too.
"""
