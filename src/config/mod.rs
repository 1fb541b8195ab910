//! The parameter table behind the file, the command line, CONFIG and disque.conf.
