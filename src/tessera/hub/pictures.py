"""How a published system wants pictures: size, cut, and the mean and spread of colours."""

from tessera.hub.folder import Folder

FILES = ("preprocessor_config.json", "processor_config.json")


def processing(folder: Folder) -> dict:
    """What a folder says of its pictures; nothing where it says nothing."""
    for file in FILES:
        said = folder.read(file)
        if said:
            return said.get("image_processor", said)
    return {}


def colours(
    folder: Folder, *, mean: tuple = (0.48145466, 0.4578275, 0.40821073), std: tuple = (0.26862954, 0.26130258, 0.27577711)
) -> dict:
    """Mean and spread of colours, as `Patches` takes them; CLIP's where nothing else is said."""
    said = processing(folder)
    return {"mean": tuple(said.get("image_mean") or mean), "spread": tuple(said.get("image_std") or std)}
