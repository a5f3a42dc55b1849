"""Where things lie: grids, pyramids, rasters, and how pixels move between them."""
