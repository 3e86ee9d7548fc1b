import platform
import subprocess
import sys

import pytest

from mixvision.training.memory import images_in_cache

PAGE_FAULTS = """
import resource, sys
from mixvision.training.memory import keep_freed_memory

if "keep" in sys.argv:
    keep_freed_memory()
first = b"x" * 2**24
del first
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for size in range(20):  # growing blocks, which glibc by itself maps and unmaps again and again
    block = b"x" * (2**23 + size * 2**18)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_used_again_without_page_faults():
    def faults(*arguments: str) -> int:
        command = [sys.executable, "-c", PAGE_FAULTS, *arguments]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults("keep") < 100 < faults()


def test_fewer_of_larger_images_fit_the_cache():
    assert images_in_cache(32) == 512 and images_in_cache(100) == 52 and images_in_cache(4000) == 1
