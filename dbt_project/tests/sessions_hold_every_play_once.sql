-- Sessions are rebuilt in pieces; were one lost or kept beside its successor,
-- the sums would tell.
with

plays as (

    select
        tenant_id,
        count(*) as plays
    from {{ ref('stg_playback__plays') }}
    group by tenant_id

),

sessions as (

    select
        tenant_id,
        sum(plays) as plays
    from {{ ref('fct_sessions') }}
    group by tenant_id

)

select
    coalesce(plays.tenant_id, sessions.tenant_id) as tenant_id,
    plays.plays as plays_loaded,
    sessions.plays as plays_in_sessions
from plays
full outer join sessions
    on plays.tenant_id = sessions.tenant_id
where plays.plays is distinct from sessions.plays
