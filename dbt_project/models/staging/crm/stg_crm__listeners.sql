with

source as (

    select * from {{ source('raw', 'listeners') }}

),

renamed as (

    select
        ---------- ids
        tenant_id,
        {{ tenant_key('listener_id') }} as listener_key,
        listener_id,

        ---------- text
        country,
        gender,
        acquisition_channel,

        ---------- numerics
        birth_year,

        ---------- timestamps
        signed_up_at,
        updated_at

    from source

)

select * from renamed
