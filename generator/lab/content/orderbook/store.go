package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

// The tables. A level is a price on a side; level_orders says which orders rest at it, and in which order.
const schema = `
CREATE TABLE IF NOT EXISTS orders (
  id bigint PRIMARY KEY, side text NOT NULL, price bigint NOT NULL, size bigint NOT NULL,
  remaining bigint NOT NULL, time timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS levels (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, side text NOT NULL, price bigint NOT NULL, UNIQUE (side, price));
CREATE TABLE IF NOT EXISTS level_orders (
  level_id bigint NOT NULL REFERENCES levels (id) ON DELETE CASCADE,
  order_id bigint PRIMARY KEY REFERENCES orders (id) ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS trades (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, maker bigint NOT NULL, taker bigint NOT NULL,
  price bigint NOT NULL, size bigint NOT NULL, time timestamptz NOT NULL)`

// Store writes the book through to Postgres over one connection for the life of the process: once that is lost
// every write fails until the process is started again, which is how the application behaves that this one stands for.
type Store struct {
	connection *pgx.Conn
}

// Database says where Postgres is; the password goes into the URL as it stands, so only URL-safe characters work.
type Database struct {
	Host, Port, Name, User, Password string
}

func (d Database) url() string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s", d.User, d.Password, net.JoinHostPort(d.Host, d.Port), d.Name)
}

// Open connects and makes the tables that are missing.
func Open(ctx context.Context, database Database) (*Store, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	connection, err := pgx.Connect(ctx, database.url())
	if err != nil {
		return nil, err
	}
	if _, err := connection.Exec(ctx, schema); err != nil {
		return nil, fmt.Errorf("making the tables: %w", err)
	}
	return &Store{connection}, nil
}

// Load reads the resting orders and the highest number an order ever had.
func (s *Store) Load(ctx context.Context) (book Book, last int64, err error) {
	if err := s.connection.QueryRow(ctx, "SELECT coalesce(max(id), 0) FROM orders").Scan(&last); err != nil {
		return Book{}, 0, err
	}
	rows, err := s.connection.Query(ctx, `SELECT o.id, o.side, o.price, o.size, o.remaining, o.time
		FROM orders o JOIN level_orders lo ON lo.order_id = o.id ORDER BY o.id`)
	if err != nil {
		return Book{}, 0, err
	}
	orders, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Order])
	for _, order := range orders {
		book.Restore(order)
	}
	return book, last, err
}

// Save writes a new order and all it changed, or nothing.
func (s *Store) Save(ctx context.Context, left Order, makers []Order, trades []Trade) error {
	return pgx.BeginFunc(ctx, s.connection, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("INSERT INTO orders VALUES ($1, $2, $3, $4, $5, $6)",
			left.ID, left.Side, left.Price, left.Size, left.Remaining, left.Time)
		for _, maker := range makers {
			batch.Queue("UPDATE orders SET remaining = $2 WHERE id = $1", maker.ID, maker.Remaining)
			if maker.Remaining == 0 {
				batch.Queue("DELETE FROM level_orders WHERE order_id = $1", maker.ID)
			}
		}
		for _, trade := range trades {
			batch.Queue("INSERT INTO trades (maker, taker, price, size, time) VALUES ($1, $2, $3, $4, $5)",
				trade.Maker, trade.Taker, trade.Price, trade.Size, left.Time)
		}
		if left.Remaining > 0 {
			batch.Queue("INSERT INTO levels (side, price) VALUES ($1, $2) ON CONFLICT DO NOTHING", left.Side, left.Price)
			batch.Queue("INSERT INTO level_orders SELECT id, $3 FROM levels WHERE side = $1 AND price = $2",
				left.Side, left.Price, left.ID)
		}
		batch.Queue("DELETE FROM levels l WHERE NOT EXISTS (SELECT FROM level_orders lo WHERE lo.level_id = l.id)")
		return tx.SendBatch(ctx, batch).Close()
	})
}

// Wipe empties all tables.
func (s *Store) Wipe(ctx context.Context) error {
	_, err := s.connection.Exec(ctx, "TRUNCATE trades, level_orders, levels, orders")
	return err
}
