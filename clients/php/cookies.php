<?php
// Logs in with Guzzle as a browser does, with cookies. Fails if an answer is another.
require 'GuzzleHttp/autoload.php';

use GuzzleHttp\Client;
use GuzzleHttp\Cookie\CookieJar;
use GuzzleHttp\HandlerStack;
use GuzzleHttp\Middleware;
use Psr\Http\Message\RequestInterface as Request;

// Not assert(), which the configuration can disable; a warning fails as well.
function expect(bool $holds): void
{
    $holds || throw new Exception('Another answer was expected.');
}
set_error_handler(fn ($level, $message, $file, $line) => throw new ErrorException($message, 0, $level, $file, $line));

$cookies = new CookieJar();
$handler = HandlerStack::create();
$handler->push(Middleware::mapRequest(function (Request $request) use ($cookies) {
    $csrf = $cookies->getCookieByName('XSRF-TOKEN')?->getValue();
    return $csrf === null ? $request : $request->withHeader('X-XSRF-TOKEN', urldecode($csrf));
}));
$api = new Client([
    'base_uri' => getenv('API_URL'), 'cookies' => $cookies, 'handler' => $handler, 'http_errors' => false,
    // Without the origin of a first party the server ignores cookies.
    'headers' => ['Accept' => 'application/json', 'Origin' => getenv('FIRST_PARTY')],
]);
$credentials = ['email' => getenv('EMAIL'), 'password' => getenv('PASSWORD')];

expect($api->post('/login', ['json' => $credentials])->getStatusCode() === 419);
expect($api->get('/sanctum/csrf-cookie')->getStatusCode() === 204);
$refused = $api->post('/login', ['json' => ['password' => 'wrong'] + $credentials]);
expect($refused->getStatusCode() === 422 && isset(json_decode((string) $refused->getBody())->errors->email));
$login = $api->post('/login', ['form_params' => $credentials]);
expect(json_decode((string) $login->getBody(), true) === ['two_factor' => false]);
expect(json_decode((string) $api->get('/api/me')->getBody())->user->email === getenv('EMAIL'));

$created = $api->post('/api/playlist', ['json' => ['name' => 'In a session', 'visibility' => 'Private']]);
expect($created->getStatusCode() === 201);
$id = json_decode((string) $created->getBody())->playlist->id;
expect($api->delete("/api/playlist/$id")->getStatusCode() === 200);

expect($api->post('/logout')->getStatusCode() === 204);
expect($api->get('/api/me')->getStatusCode() === 401);
