"""Put this into your URLs: `path("review/", include("turnlog.consumers.review.urls"))`."""

from __future__ import annotations

from django.urls import path

from . import acting, exporting, inspecting, queue_acts, queueing, saving, views

app_name = "turnlog_review"

urlpatterns = [
    path("", views.conversations, name="conversations"),
    path("search/", saving.search, name="search"),
    path("views/save/", saving.save, name="save_view"),
    path("views/remove/", saving.remove, name="remove_view"),
    path("views/choose/", saving.choose, name="choose_view"),
    path("export/", exporting.export, name="export"),
    path("health/", views.health, name="health"),
    path("health/verify/", acting.verify, name="verify"),
    path("accesses/", inspecting.accesses, name="accesses"),
    path("accesses/inspect/", acting.inspect, name="inspect"),
    path("queues/", queueing.queues, name="queues"),
    path("queues/open/", queue_acts.open_queue, name="queue_open"),
    path("queues/<int:number>/", queueing.queue, name="queue"),
    path("queues/<int:number>/describe/", queue_acts.describe, name="queue_describe"),
    path("queues/<int:number>/state/", queue_acts.set_state, name="queue_state"),
    path("queues/<int:number>/fill/", queue_acts.fill, name="queue_fill"),
    path("queues/<int:number>/next/", queue_acts.take_one, name="queue_next"),
    path("queues/<int:number>/<int:pk>/take/", queue_acts.take, name="queue_take"),
    path("queues/<int:number>/<int:pk>/complete/", queue_acts.complete, name="queue_complete"),
    path("queues/<int:number>/<int:pk>/flag/", queue_acts.flag, name="queue_flag"),
    path("queues/<int:number>/<int:pk>/leave/", queue_acts.leave, name="queue_leave"),
    path("queues/<int:number>/<int:pk>/resolve/", queue_acts.resolve, name="queue_resolve"),
    path("queues/<int:number>/<int:pk>/back/", queue_acts.put_back, name="queue_put_back"),
    path("<int:pk>/", views.conversation, name="conversation"),
    path("<int:pk>/events/<int:version>/", views.event, name="event"),
    path("<int:pk>/events/<int:version>/pictures/<int:number>/", views.picture, name="picture"),
    path("<int:pk>/events/<int:version>/files/<int:number>/", views.file, name="file"),
    path("<int:pk>/given/<int:version>/", views.given, name="given"),
    path("<int:pk>/compare/", views.compare, name="compare"),
    path("<int:pk>/find/", acting.find, name="find"),
    path("<int:pk>/notes/", acting.note, name="note"),
    path("<int:pk>/notes/<int:version>/withdraw/", acting.withdraw, name="withdraw"),
    path("<int:pk>/scores/", acting.score, name="score"),
    path("<int:pk>/sign-off/", acting.sign_off, name="sign_off"),
    path("<int:pk>/decide/", acting.decide, name="decide"),
    path("<int:pk>/erase/", acting.erase, name="erase"),
    path("<int:pk>/reveal/", acting.reveal, name="reveal"),
    path("<int:pk>/mask/", acting.mask, name="mask"),
    path("<int:pk>/bundle/", exporting.bundle, name="bundle"),
    path("<int:pk>/fork/", acting.fork, name="fork"),
]
