-- Ephemeral: read inside the statement that rebuilds `fct_sessions`, so
-- `previous_build` is that table as the run before left it.
{% set is_limited = is_windowed_on(source('previous_build', 'fct_sessions')) %}
{% set gap = "interval '" ~ var('session_gap_minutes') ~ " minutes'" %}

with

plays as (

    select * from {{ ref('stg_playback__plays') }}
    where {{ in_window('started_at') }}

),

sessions as (

    {% if is_limited %}
        select * from {{ source('previous_build', 'fct_sessions') }}
    {% else %}
        select * from plays
        where false
    {% endif %}

),

-- What may change: plays now in the window, sessions that were near it.
spans_near_window as (

    select
        tenant_id,
        listener_id,
        started_at,
        ended_at
    from plays

    union all

    select
        tenant_id,
        listener_id,
        started_at,
        ended_at
    from sessions
    where
        ended_at >= {{ window_start() }} - {{ gap }}
        and started_at < {{ window_end() }}

),

listeners_touched as (

    select
        tenant_id,
        listener_id,
        min(started_at) as started_at,
        max(ended_at) as ended_at
    from spans_near_window
    group by tenant_id, listener_id

),

-- A play's end may now reach sessions that begin after the window.
sessions_reached as (

    select
        sessions.tenant_id,
        sessions.listener_id,
        max(sessions.ended_at) as ended_at
    from sessions
    inner join listeners_touched
        on sessions.tenant_id = listeners_touched.tenant_id
        and sessions.listener_id = listeners_touched.listener_id
        and sessions.started_at <= listeners_touched.ended_at + {{ gap }}
    where sessions.started_at >= {{ window_end() }}
    group by sessions.tenant_id, sessions.listener_id

),

ranges as (

    select
        listeners_touched.tenant_id,
        listeners_touched.listener_id,
        listeners_touched.started_at,
        greatest(
            listeners_touched.ended_at, sessions_reached.ended_at
        ) as ended_at
    from listeners_touched
    left join sessions_reached
        on listeners_touched.tenant_id = sessions_reached.tenant_id
        and listeners_touched.listener_id = sessions_reached.listener_id

)

select * from ranges
