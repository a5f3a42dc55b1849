"""`python -m tilepipe_hub` is `tilepipe-hub`."""

from tilepipe_hub.cli import main

if __name__ == "__main__":
    main()
