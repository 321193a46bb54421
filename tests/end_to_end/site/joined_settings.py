"""The tutorial's settings, with a channel layer that joins its processes: see operations.md."""

import os

from mysite.settings import *  # noqa: F403

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # redis-py 8 gives up reading after 5 seconds, which is as long as channels_redis 4.3 lets
        # Redis block: https://github.com/django/channels_redis/issues/422
        "CONFIG": {"hosts": [{"address": os.environ["CHANNELS_URL"], "socket_timeout": None}]},
    }
}
