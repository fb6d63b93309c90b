-- +goose Up

-- Picked clusters that keep what they have because an override for them cannot be applied, with the causes; null: none.
ALTER TABLE stack_placements ADD COLUMN blocked jsonb;

-- +goose Down
ALTER TABLE stack_placements DROP COLUMN blocked;
