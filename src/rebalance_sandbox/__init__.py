"""The developer's sandbox: the function on this machine, with a paper broker and a local AWS."""
