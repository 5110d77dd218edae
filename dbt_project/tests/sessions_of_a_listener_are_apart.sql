-- Between two sessions of a listener lies more silence than the gap.
with

sessions as (

    select * from {{ ref('fct_sessions') }}

),

sessions_with_next as (

    select
        tenant_id,
        session_key,
        ended_at,
        lead(started_at) over (
            partition by tenant_id, listener_id
            order by started_at
        ) as next_started_at
    from sessions

)

select *
from sessions_with_next
where
    next_started_at
    <= ended_at + interval '{{ var("session_gap_minutes") }} minutes'
