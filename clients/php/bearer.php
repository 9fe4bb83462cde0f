<?php
// Calls the API with Guzzle and a bearer token. Fails if an answer is another.
require 'GuzzleHttp/autoload.php';

use GuzzleHttp\Client;
use GuzzleHttp\Exception\ClientException;
use GuzzleHttp\HandlerStack;
use GuzzleHttp\Middleware;
use Psr\Http\Message\ResponseInterface as Response;

// Not assert(), which the configuration can disable; a warning fails as well.
function expect(bool $holds): void
{
    $holds || throw new Exception('Another answer was expected.');
}
set_error_handler(fn ($level, $message, $file, $line) => throw new ErrorException($message, 0, $level, $file, $line));

$json = fn (Response $response) => json_decode((string) $response->getBody(), true, flags: JSON_THROW_ON_ERROR);

// Sends a request again after a 429 or 503, when Retry-After says.
$waits = 0;
$handler = HandlerStack::create();
$handler->push(Middleware::retry(
    fn ($retries, $request, $response) => $retries < 2 && in_array($response?->getStatusCode(), [429, 503]),
    function ($retries, Response $response) use (&$waits) {
        $waits++;
        return 1000 * (int) $response->getHeaderLine('Retry-After');
    },
));
$options = ['base_uri' => getenv('API_URL'), 'headers' => ['Accept' => 'application/json'], 'handler' => $handler];

$guest = new Client($options);
['token' => $token] = $json($guest->post('/sanctum/token', ['form_params' => [
    'email' => getenv('EMAIL'), 'password' => getenv('PASSWORD'), 'device_name' => 'Guzzle',
    'abilities' => ['read:playlist', 'write:playlist'],
]]));
$options['headers']['Authorization'] = "Bearer $token";
$api = new Client($options);
expect($json($api->get('/api/me'))['user']['email'] === getenv('EMAIL'));

// A form, JSON and multipart.
$new = fn ($name) => ['name' => $name, 'visibility' => 'Private'];
$first = $json($api->post('/api/playlist', ['form_params' => $new('Form & more')]))['playlist'];
$second = $json($api->post('/api/playlist', ['json' => $new('JSON “ü”')]))['playlist'];
$parts = array_map(null, ['name', 'visibility'], ['Multipart', 'Private']);
$third = $json($api->post('/api/playlist', [
    'multipart' => array_map(fn ($part) => ['name' => $part[0], 'contents' => $part[1]], $parts),
]))['playlist'];
expect([$first['name'], $second['name'], $third['name']] === ['Form & more', 'JSON “ü”', 'Multipart']);

// Arrays as http_build_query() writes them, include[0]=…, and with empty brackets.
$list = $json($api->get('/api/me/playlist', ['query' => [
    'include' => ['user', 'tracks'], 'fields' => ['playlist' => ['id', 'name'], 'user' => ['name']],
    'sort' => ['-name'], 'page' => ['size' => 2],
]]));
expect(array_column($list['playlists'], 'name') === ['Multipart', 'JSON “ü”']);
expect(array_keys($list['playlists'][0]) === ['id', 'name', 'tracks', 'user']);
$next = $json($api->get($list['links']['next']));
expect(array_column($next['playlists'], 'name') === ['Form & more']);
$query = 'include[]=user&include[]=tracks&fields[playlist][]=id&fields[playlist][]=name&sort=name';
expect(count($json($api->get("/api/me/playlist?$query"))['playlists']) === 3);

try {
    $api->post('/api/playlist', ['json' => ['name' => '', 'visibility' => 'Private']]);
    expect(false);
} catch (ClientException $error) {
    expect($error->getResponse()->getStatusCode() === 422);
    expect($json($error->getResponse())['errors'] === ['name' => ['The name field is required.']]);
}

$updated = $json($api->put("/api/playlist/{$first['id']}", ['form_params' => ['name' => 'Renamed']]));
expect($updated['playlist']['name'] === 'Renamed');
foreach ([$first, $second, $third] as ['id' => $id]) $api->delete("/api/playlist/$id");
expect($json($api->get('/api/me/playlist'))['playlists'] === []);

// More requests than the user may send in a minute: the last ones wait.
while ($waits === 0) $api->get('/api/me');

$api->delete('/api/me/token/current');
expect($guest->get('/api/me', ['http_errors' => false])->getStatusCode() === 401);
