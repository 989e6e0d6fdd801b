"""What is wrong with a set of images: copies, leaks, odd files, shortcuts; and the gate every command passes through."""
