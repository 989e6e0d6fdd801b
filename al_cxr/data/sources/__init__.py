"""Where radiographs come from, one file a kind.

To add a kind of source, add one file to this folder; nothing else has to be changed. A source of NIfTI files, say, is
`nifti.py`::

    @register
    class NiftiSource(Source):
        \"""NIfTI files below one folder, one folder a class.\"""

        usage = "nifti:FOLDER"                     # how --data names it: in --help, in errors

        kind: Literal["nifti"] = Field("nifti", description=KIND)    # how an experiment file names it
        path: str = Field(description="folder that holds the class folders")

        @classmethod
        def from_text(cls, text: str) -> NiftiSource:      # what stands behind `nifti:` in --data
            if not text:
                raise ValueError("no folder is named")
            return cls(path=text)

        @classmethod
        def claims(cls, path: Path) -> bool:               # optional: files that --data names without `nifti:`
            return path.name.endswith(".nii")

        def exists(self) -> bool:                          # is anything there, broken or not?
            return Path(self.path).exists()

        def read(self) -> Dataset:                         # names, labels, splits; no pixels yet
            ...

        def describe(self) -> str:                         # for messages
            return f"NIfTI files in {self.path}"

Then `data: {sources: [{kind: nifti, path: scans}]}`, `--data nifti:scans` and `load_data("nifti:scans")` work, unknown
keys and kinds are answered with the nearest one that there is, and the tests of every kind of source are about this one
too. Splits that are missing are drawn later, for all kinds alike.

`Dataset.images` of what `read` returns is an object with `key`, `read(index, size)`, `digest(index)` and `name(index)`
(`al_cxr.data.dataset.Images`). `files.FileImages` is one for files below a folder that no path may leave;
`al_cxr.data.spelling.spell` brings labels, splits, patients, ages and views into one spelling, with a note for each
thing that it took for another. Files come from outside: read them as hostile, and say what is wrong with a `UserError`.

Another installed package adds a kind through an entry point of the group `al_cxr.sources` that names its module.
"""
