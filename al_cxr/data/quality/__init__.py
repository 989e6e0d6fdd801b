"""What is wrong with a set of images: copies, leaks, odd files, shortcuts; and the gate before every command."""
