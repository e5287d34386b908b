package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// memory is a ledger without a database; broken ledgers refuse every write.
type memory struct {
	trades []Trade
	broken bool
}

func (m *memory) Load(context.Context) (Book, int64, error) { return Book{}, 0, nil }

func (m *memory) Save(_ context.Context, _ Order, _ []Order, trades []Trade) error {
	if m.broken {
		return errors.New("connection lost")
	}
	m.trades = append(m.trades, trades...)
	return nil
}

func (m *memory) Wipe(context.Context) error {
	if m.broken {
		return errors.New("connection lost")
	}
	return nil
}

func exchange(t *testing.T) (*Exchange, *memory) {
	t.Helper()
	ledger := &memory{}
	e, err := NewExchange(context.Background(), ledger)
	if err != nil {
		t.Fatal(err)
	}
	return e, ledger
}

func place(t *testing.T, e *Exchange, side Side, price, size int64) Order {
	t.Helper()
	order, err := e.Place(context.Background(), side, price, size)
	if err != nil {
		t.Fatal(err)
	}
	return order
}

func TestBestPriceThenEldestIsMatchedFirst(t *testing.T) {
	e, ledger := exchange(t)
	place(t, e, Sell, 102, 5)          // 1
	place(t, e, Sell, 101, 5)          // 2
	place(t, e, Sell, 101, 5)          // 3
	order := place(t, e, Buy, 102, 12) // 4
	if order.Remaining != 0 {
		t.Errorf("remaining %d", order.Remaining)
	}
	want := []Trade{{2, 4, 101, 5}, {3, 4, 101, 5}, {1, 4, 102, 2}}
	if !slices.Equal(ledger.trades, want) {
		t.Errorf("got %v, want %v", ledger.trades, want)
	}
	if got := e.book.Levels(Sell); !slices.Equal(got, []Level{{102, 3, 1}}) {
		t.Errorf("left %v", got)
	}
}

func TestARestRemainsAtItsOwnPrice(t *testing.T) {
	e, _ := exchange(t)
	place(t, e, Buy, 99, 4)
	place(t, e, Sell, 98, 10)
	if got := e.book.Levels(Sell); !slices.Equal(got, []Level{{98, 6, 1}}) {
		t.Errorf("sells %v", got)
	}
	if got := e.book.Levels(Buy); len(got) != 0 {
		t.Errorf("buys %v", got)
	}
}

func TestOrdersThatDoNotCrossRest(t *testing.T) {
	e, ledger := exchange(t)
	place(t, e, Buy, 99, 1)
	place(t, e, Buy, 100, 1)
	place(t, e, Buy, 100, 2)
	place(t, e, Sell, 101, 1)
	if len(ledger.trades) != 0 {
		t.Errorf("trades %v", ledger.trades)
	}
	if got := e.book.Levels(Buy); !slices.Equal(got, []Level{{100, 3, 2}, {99, 1, 1}}) {
		t.Errorf("buys %v", got)
	}
}

func TestNothingIsLostOrMadeByMatching(t *testing.T) {
	e, ledger := exchange(t)
	var bought, sold int64
	for i := range int64(400) {
		side, price, size := Buy, 90+(i*7)%21, 1+(i*13)%17
		if i%2 == 1 {
			side = Sell
		}
		place(t, e, side, price, size)
		if side == Buy {
			bought += size
		} else {
			sold += size
		}
	}
	var traded int64
	for _, trade := range ledger.trades {
		traded += trade.Size
	}
	resting := func(side Side) (sum int64) {
		for _, level := range e.book.Levels(side) {
			sum += level.Size
		}
		return sum
	}
	if resting(Buy)+traded != bought || resting(Sell)+traded != sold {
		t.Errorf("buys %d + %d != %d or sells %d + %d != %d", resting(Buy), traded, bought, resting(Sell), traded, sold)
	}
	buys, sells := e.book.Levels(Buy), e.book.Levels(Sell)
	if len(buys) > 0 && len(sells) > 0 && buys[0].Price >= sells[0].Price {
		t.Errorf("the book is crossed: %v %v", buys[0], sells[0])
	}
}

func TestWithoutTheDatabaseWritesFailAndHealthIsOK(t *testing.T) {
	e, ledger := exchange(t)
	place(t, e, Buy, 100, 1)
	ledger.broken = true
	server := httptest.NewServer(e.Handler())
	defer server.Close()
	for _, c := range []struct {
		method, path, body string
		status             int
		contains           string
	}{
		{"POST", "/api/order", `{"side":"buy","price":7,"size":1}`, 500, ""},
		{"POST", "/api/wipe", "", 500, ""},
		{"GET", "/api/health", "", 200, `{"ok":true}`},
		{"GET", "/ob", "", 200, "100"},
	} {
		expect(t, server.URL, c.method, c.path, c.body, c.status, c.contains)
	}
	if got := e.book.Levels(Buy); !slices.Equal(got, []Level{{100, 1, 1}}) {
		t.Errorf("a refused order is in the book: %v", got)
	}
}

func TestPaths(t *testing.T) {
	e, _ := exchange(t)
	server := httptest.NewServer(e.Handler())
	defer server.Close()
	for _, c := range []struct {
		method, path, body string
		status             int
		contains           string
	}{
		{"POST", "/api/order", `{"side":"buy","price":101,"size":7}`, 200, `"side":"buy","price":101,"size":7`},
		{"GET", "/api/order", "", 405, ""},
		{"POST", "/api/order", `{"side":`, 400, ""},
		{"POST", "/api/order", `{"side":"hold","price":1,"size":1}`, 400, ""},
		{"POST", "/api/order", `{"side":"buy","price":1.5,"size":1}`, 400, ""},
		{"GET", "/ob", "", 200, "buy    101     7"},
		{"GET", "/", "", 200, "<td>101</td>"},
		{"GET", "/headers", "", 200, "User-Agent: "},
		{"GET", "/api/health", "", 200, `{"ok":true}`},
		{"GET", "/elsewhere", "", 404, ""},
		{"POST", "/api/wipe", "", 200, `{"ok":true}`},
	} {
		expect(t, server.URL, c.method, c.path, c.body, c.status, c.contains)
	}
	if got := e.book.Levels(Buy); len(got) != 0 {
		t.Errorf("not wiped: %v", got)
	}
}

func expect(t *testing.T, url, method, path, body string, status int, contains string) {
	t.Helper()
	request, err := http.NewRequest(method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != status || !strings.Contains(string(text), contains) {
		t.Errorf("%s %s %s: %d %q, want %d with %q", method, path, body, answer.StatusCode, text, status, contains)
	}
}
