//! The command line client `disque`: arguments, connection, prompt, output formats.
