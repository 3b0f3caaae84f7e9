"""The keys of the samples in the tests of Slack's own SDKs, by what is sent; nested ones after a dot, those
in a list's entries after `[]`.

Left out are the keys of what a workspace of no organisation doesn't have (`enterprise_id`,
`enterprise_name`) and of errors (`error`, `needed`, `provided`, `warning`). The samples of answers hold every
key ever seen: left out of them are those of parts that don't exist here, such as rooms, assistants, canvases
and people's pictures.
"""

from __future__ import annotations

BOLT = "slackapi/bolt-python tests/"
JAVA = "slackapi/java-slack-sdk "
LOGS = f"{JAVA}json-logs/samples/api/"

_WHO = "type user.id user.username user.name user.team_id api_app_id token team.id team.domain"
_VIEW = (
    "view.id view.team_id view.type view.blocks view.private_metadata view.callback_id view.state view.hash "
    "view.title view.clear_on_close view.notify_on_close view.close view.submit view.previous_view_id "
    "view.root_view_id view.app_id view.external_id view.app_installed_team_id view.bot_id"
)
_ACTION = (
    "actions[].action_id actions[].block_id actions[].text actions[].value actions[].type actions[].action_ts"
)
_MESSAGE = "bot_id type text user ts team blocks app_id bot_profile metadata"
_PROFILE = "id app_id user_id name deleted updated team_id"
_CHANNEL = (
    "id name name_normalized is_channel is_group is_im is_mpim is_private is_archived is_general is_shared "
    "is_ext_shared is_org_shared is_pending_ext_shared is_member created creator updated unlinked "
    "context_team_id previous_names pending_shared shared_team_ids topic.value topic.creator topic.last_set "
    "purpose.value purpose.creator purpose.last_set"
)
_USER = (
    "id team_id name deleted color real_name tz tz_label tz_offset is_admin is_owner is_primary_owner "
    "is_restricted is_ultra_restricted is_bot is_app_user is_email_confirmed updated "
    "who_can_share_contact_card profile.title profile.real_name profile.real_name_normalized "
    "profile.display_name profile.display_name_normalized profile.first_name profile.last_name profile.team "
    "profile.phone profile.status_text profile.status_emoji profile.status_expiration"
)
_GROUP = (
    "id team_id is_usergroup is_subteam name description handle is_external date_create date_update "
    "date_delete auto_type auto_provision created_by updated_by prefs.channels prefs.groups user_count "
    "channel_count enterprise_subteam_id"
)


def _each(prefix: str, keys: str) -> str:
    return " ".join(f"{prefix}{key}" for key in keys.split())


#: What comes over the socket: where the sample stands, and its keys.
ENVELOPES: dict[str, tuple[str, str]] = {
    "slash_commands": (
        f"{BOLT}adapter_tests/socket_mode/mock_socket_mode_server.py",
        "token team_id team_domain channel_id channel_name user_id user_name command text api_app_id "
        "response_url trigger_id",
    ),
    "block_actions in a message": (
        f"{JAVA}slack-api-client/src/test/java/test_locally/api/socket_mode/EnvelopeTest.java",
        f"{_WHO} container.type container.message_ts container.channel_id container.is_ephemeral trigger_id "
        f"channel.id channel.name response_url {_ACTION} "
        + _each("message.", "bot_id type text user ts team blocks"),
    ),
    "block_actions in a view": (
        f"{JAVA}bolt/src/test/java/test_locally/app/BlockActionTest.java",
        f"{_WHO} container.type container.view_id trigger_id {_VIEW} {_ACTION}",
    ),
    "block_suggestion": (
        f"{BOLT}scenario_tests/test_block_suggestion.py",
        f"{_WHO} container.type container.view_id action_id block_id value {_VIEW}",
    ),
    "view_submission": (
        f"{BOLT}scenario_tests/test_view_submission.py",
        f"{_WHO} trigger_id response_urls {_VIEW}",
    ),
    "view_closed": (
        f"{JAVA}json-logs/samples/app-backend/views/ViewClosedPayload.json",
        f"{_WHO} enterprise is_enterprise_install is_cleared {_VIEW}",
    ),
    "app_home_opened": (
        f"{BOLT}scenario_tests/test_events_org_apps.py",
        "token team_id api_app_id type event_id event_time is_ext_shared_channel authorizations[].team_id "
        "authorizations[].user_id authorizations[].is_bot authorizations[].is_enterprise_install "
        "event.type event.user event.channel event.tab event.event_ts",
    ),
}

#: What stands around them, and what the socket says by itself.
FRAMES: dict[str, tuple[str, str]] = {
    "slash_commands": (
        f"{BOLT}adapter_tests/socket_mode/mock_socket_mode_server.py",
        "envelope_id payload type accepts_response_payload",
    ),
    "events_api": (
        f"{BOLT}adapter_tests/socket_mode/mock_socket_mode_server.py",
        "envelope_id payload type accepts_response_payload retry_attempt retry_reason",
    ),
    "hello": (
        f"{JAVA}slack-api-client/src/test/java/test_locally/api/socket_mode/EnvelopeTest.java",
        "type num_connections debug_info.host debug_info.build_number "
        "debug_info.approximate_connection_time connection_info.app_id",
    ),
    # The Java SDK's model has no more; its tests have no sample.
    "disconnect": (
        f"{JAVA}slack-api-client/src/main/java/com/slack/api/socket_mode/request/DisconnectMessage.java",
        "type reason debug_info.host",
    ),
}

#: What the methods answer that the bot calls.
ANSWERS: dict[str, tuple[str, str]] = {
    method: (f"{LOGS}{method}.json", keys)
    for method, keys in {
        "apps.connections.open": "ok url",
        "auth.test": "ok url team user team_id user_id bot_id is_enterprise_install",
        "chat.delete": "ok channel ts",
        "chat.getPermalink": "ok permalink channel",
        "chat.postEphemeral": "ok message_ts",
        "chat.postMessage": "ok channel ts "
        + _each("message.", _MESSAGE)
        + " "
        + _each("message.bot_profile.", _PROFILE),
        "chat.update": f"ok channel ts text {_each('message.', _MESSAGE.replace(' ts', ''))}",
        "conversations.history": "ok has_more pin_count channel_actions_count channel_actions_ts "
        f"response_metadata.next_cursor {_each('messages[].', _MESSAGE)} messages[].thread_ts "
        "messages[].reply_count messages[].reply_users_count messages[].reply_users messages[].latest_reply "
        "messages[].is_locked messages[].subscribed",
        "conversations.info": f"ok {_each('channel.', _CHANNEL)}",
        "conversations.list": f"ok response_metadata.next_cursor {_each('channels[].', _CHANNEL)}",
        "conversations.members": "ok members response_metadata.next_cursor",
        "conversations.open": "ok channel.id",
        "conversations.replies": "ok has_more response_metadata.next_cursor messages[].thread_ts "
        + _each("messages[].", _MESSAGE),
        "files.completeUploadExternal": "ok files[].id files[].title",
        "files.getUploadURLExternal": "ok upload_url file_id",
        "pins.add": "ok",
        "pins.list": "ok items[].type items[].created items[].created_by",
        "pins.remove": "ok",
        "usergroups.list": f"ok {_each('usergroups[].', _GROUP)}",
        "usergroups.users.list": "ok users",
        "users.info": f"ok {_each('user.', _USER)} user.locale",
        "users.list": f"ok cache_ts response_metadata.next_cursor {_each('members[].', _USER)}",
        "views.open": f"ok {_VIEW}",
        "views.publish": f"ok {_VIEW}",
        "views.update": f"ok {_VIEW}",
    }.items()
}
