"""What each command of the command line does, in the order a person reads it on the screen."""
