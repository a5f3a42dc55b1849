"""What the operator is told beside its own settings: it looks each second, not each minute, if it may let go."""

import kopf


@kopf.on.startup()
def look_often(settings, **_):
    settings.background.cancellation_polling = 1
