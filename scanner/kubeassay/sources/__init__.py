"""Where objects come from: files, directories, standard input."""
