"""Real data: found on this machine, checked, read; the only part of brainjax that reads files of data."""

from brainjax.data._connectomes import CONNECTOMES as CONNECTOMES
from brainjax.data._connectomes import Connectome as Connectome
from brainjax.data._connectomes import connectome as connectome
from brainjax.data._download import download as download
from brainjax.data._formats import read_cifar as read_cifar
from brainjax.data._formats import read_idx as read_idx
from brainjax.data._images import Images as Images
from brainjax.data._images import load as load
from brainjax.data._images import on_device as on_device
from brainjax.data._images import scaled as scaled
from brainjax.data._null_models import random_signs as random_signs
from brainjax.data._null_models import recurrent_core as recurrent_core
from brainjax.data._null_models import rewired as rewired
from brainjax.data._null_models import scattered as scattered
from brainjax.data._places import find as find
from brainjax.data._places import user_folder as user_folder
from brainjax.data._registry import DATASETS as DATASETS
from brainjax.data._registry import DataSet as DataSet
from brainjax.data._tasks import ImageTask as ImageTask
from brainjax.data._tasks import image_task as image_task
