"""User models that projects have: without a username, with a UUID, with a number and a team."""

import uuid
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models


class Rights(AbstractBaseUser):
    """What the admin asks; no groups."""

    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=True)

    objects = BaseUserManager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.get_username())

    def has_perm(self, name: str, row: Any = None) -> bool:
        return self.is_staff

    def has_module_perms(self, label: str) -> bool:
        return self.is_staff


class EmailUser(Rights):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []


class Team(models.Model):
    name = models.CharField(max_length=20, unique=True)
    founded = models.DateField()


class NumberedUser(Rights):
    number = models.IntegerField(unique=True)
    team = models.ForeignKey(Team, on_delete=models.CASCADE)
    size = models.CharField(max_length=1, choices=[("s", "small"), ("l", "large")])

    USERNAME_FIELD = "number"
    REQUIRED_FIELDS = ["team"]


class KeyedUser(Rights):
    handle = models.CharField(primary_key=True, max_length=40)

    USERNAME_FIELD = "handle"
    REQUIRED_FIELDS = []
