"""The program safeborders: parse, call one function, print."""
