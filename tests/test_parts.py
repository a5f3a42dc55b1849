"""Where everything is promised to be there, a part that is missing is a failure and not a skipped test."""

import importlib.util
import os
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif("TILEPIPE_TEST_ALL" not in os.environ, reason="TILEPIPE_TEST_ALL is not set")


@pytest.mark.parametrize(
    "program", ["gdalinfo", "gdalwarp", "gdaldem", "gdaladdo", "gdal_translate", "slurmctld", "slurmd", "munged"]
)
def test_the_programs_that_tests_need_are_there(program):
    assert shutil.which(program)


@pytest.mark.parametrize("program", ["chromium", "chromedriver"])
def test_the_browser_that_tests_drive_is_there(program):
    assert shutil.which(program)


@pytest.mark.parametrize("module", ["osgeo.gdal", "qgis.core"])
def test_the_system_has_the_bindings_of_gdal_and_qgis(module):
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}

    subprocess.run(["/usr/bin/python3", "-c", f"import {module}"], check=True, env=environment)


@pytest.mark.parametrize("program", ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel"])
def test_the_programs_of_slurm_are_there(program):
    assert shutil.which(program, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")


@pytest.mark.parametrize("program", ["sge_qmaster", "sge_execd", "qconf", "qsub", "qstat", "qdel"])
def test_the_programs_of_grid_engine_are_there(program):
    assert shutil.which(program, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")


@pytest.mark.parametrize("module", ["dask_gateway", "dask_gateway_server.app", "dask_jobqueue"])
def test_what_starts_clusters_is_there(module):
    assert importlib.util.find_spec(module)
