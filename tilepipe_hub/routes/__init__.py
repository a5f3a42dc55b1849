"""The face of the hub in HTTP: paths, parameters, status codes and documents."""
