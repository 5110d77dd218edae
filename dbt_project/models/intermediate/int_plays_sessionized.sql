-- depends_on: {{ ref('int_sessions_touched') }}
{% set is_limited = is_windowed_on(source('previous_build', 'fct_sessions')) %}

with

{% if is_limited %}
    touched as (

        select * from {{ ref('int_sessions_touched') }}

    ),

    bounds as (

        select
            min(touched.started_at) as first_at,
            max(touched.ended_at) as last_at
        from touched

    ),

    -- The bounds of all let partitions outside them go unread.
    plays_near as (

        select * from {{ ref('stg_playback__plays') }}
        where
            started_at >= (select bounds.first_at from bounds)
            and started_at <= (select bounds.last_at from bounds)

    ),

    plays as (

        select plays_near.*
        from plays_near
        inner join touched
            on plays_near.tenant_id = touched.tenant_id
            and plays_near.listener_id = touched.listener_id
            and plays_near.started_at >= touched.started_at
            and plays_near.started_at <= touched.ended_at

    ),
{% else %}
    plays as (

        select * from {{ ref('stg_playback__plays') }}

    ),
{% endif %}

silences as (

    select
        *,
        coalesce(
            started_at
            > max(ended_at) over (
                partition by tenant_id, listener_id
                order by started_at, play_id
                rows between unbounded preceding and 1 preceding
            ) + interval '{{ var("session_gap_minutes") }} minutes',
            true
        ) as opens_session
    from plays

),

sessionized as (

    select
        ---------- ids
        tenant_id,
        play_id,
        listener_id,
        track_id,

        ---------- numerics
        listened_ms,
        count(*) filter (where opens_session) over (
            partition by tenant_id, listener_id
            order by started_at, play_id
            rows between unbounded preceding and current row
        ) as session_number,

        ---------- booleans
        is_skipped,

        ---------- timestamps
        started_at,
        ended_at

    from silences

)

select * from sessionized
