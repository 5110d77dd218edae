-- A day's plays are the same by tenant, by track, by artist and as loaded.
with

counts as (

    select
        tenant_id,
        listening_date,
        1 as side,
        count(*) as plays
    from {{ ref('stg_playback__plays') }}
    where {{ in_window('started_at') }}
    group by tenant_id, listening_date
    {% for model in (
        'daily_listening', 'daily_track_listening', 'daily_artist_listening'
    ) %}
        union all
        select
            tenant_id,
            listening_date,
            {{ loop.index + 1 }} as side,
            sum(plays) as plays
        from {{ ref(model) }}
        where {{ in_window('listening_date') }}
        group by tenant_id, listening_date
    {% endfor %}

)

select
    tenant_id,
    listening_date,
    count(*) as sides_with_the_day,
    min(plays) as fewest_plays,
    max(plays) as most_plays
from counts
group by tenant_id, listening_date
having count(*) <> 4 or min(plays) <> max(plays)
