with

source as (

    select * from {{ source('raw', 'tickets') }}

),

renamed as (

    select
        ---------- ids
        tenant_id,
        {{ tenant_key('ticket_id') }} as ticket_key,
        ticket_id,
        listener_id,

        ---------- text
        category,
        body,

        ---------- numerics
        satisfaction,

        ---------- timestamps
        opened_at,
        resolved_at

    from source

)

select * from renamed
