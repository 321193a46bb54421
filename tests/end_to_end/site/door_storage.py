from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class WithModules(ManifestStaticFilesStorage):
    support_js_module_import_aggregation = True
