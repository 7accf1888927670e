"""The one folder that foreign code writes, and a watch of what its process takes."""

from tapedeck_common.sandbox.scratch.watch import ProcessWatch as ProcessWatch
from tapedeck_common.sandbox.scratch.watch import ScratchFolder as ScratchFolder
