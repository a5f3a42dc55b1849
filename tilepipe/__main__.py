"""`python -m tilepipe` is `tilepipe`."""

from tilepipe.cli.main import main

if __name__ == "__main__":
    main()
