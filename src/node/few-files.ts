/** Said where too few files may be open: by the library, by the command line, and by bin/bnfold.js when it can open no more itself. */
export const FEW_FILES = { what: "too many files are open", hint: "Raise the limit (ulimit -n 256), or close other programs." };
