"""Images whose files are no longer what was decoded, told by their content and not by their size and time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from al_cxr.core.errors import UserError
from al_cxr.core.progress import Progress
from al_cxr.data.dataset import Images
from al_cxr.data.doubts import listed


def changed(images: Images, digests: list[str], workers: int, progress: bool) -> str:
    """How many images are no longer what was decoded, and the first of them; "" if all are."""

    def same(index: int) -> bool:
        if not digests[index]:  # could not be used when it was decoded
            return True
        try:
            return images.digest(index) in (digests[index], None)
        except UserError:  # gone or unreadable: whoever decodes it says so
            return False

    bar = Progress(len(images), "verifying", shown=progress, leave=False)
    with bar, ThreadPoolExecutor(workers) as pool:
        names = []
        for index, is_same in enumerate(pool.map(same, range(len(images)))):
            if not is_same:
                names.append(images.name(index))
            bar.update()
    return listed(names, len(images)) if names else ""
