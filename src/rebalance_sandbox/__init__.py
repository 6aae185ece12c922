"""The developer's sandbox: the function on this machine, with a simulated broker and a local AWS."""
