"""Settings of a small shop."""

SECRET_KEY = "a-secret-key-for-an-example"
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
STATIC_URL = "static/"

VEEQO_API_KEY = "fake-key-for-tests"
